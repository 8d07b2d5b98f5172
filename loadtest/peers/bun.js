// bun's own server, as its documentation shows a broadcast: every connection subscribes to a topic, and what comes on
// /publish is published to it. Bun merges what one turn of its loop publishes.

const TOPIC = "all";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const isPublisher = new URL(request.url).pathname === "/publish";
    if (!server.upgrade(request, { data: { isPublisher } })) {
      return new Response("this is a WebSocket server", { status: 426 });
    }
  },
  websocket: {
    perMessageDeflate: false,
    // Receivers of a comparison say nothing.
    idleTimeout: 0,
    sendPings: false,
    open(socket) {
      if (!socket.data.isPublisher) socket.subscribe(TOPIC);
    },
    message(socket, message) {
      if (socket.data.isPublisher) server.publish(TOPIC, message);
    },
  },
});

console.log(`listening on ws://127.0.0.1:${server.port}`);
