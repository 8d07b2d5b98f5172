// Node with the package ws, as its documentation shows a broadcast: what comes on /publish is sent to every other client.

import { WebSocketServer, WebSocket } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });

server.on("connection", (socket, request) => {
  socket.on("error", () => {});
  if (new URL(request.url, "ws://localhost").pathname !== "/publish") return;
  socket.isPublisher = true;
  socket.on("message", (data) => {
    for (const client of server.clients) {
      if (!client.isPublisher && client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
    }
  });
});

server.on("listening", () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));
