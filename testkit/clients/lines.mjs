// What every driver in JavaScript does alike: a line of JSON each way.

import { createInterface } from 'node:readline';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** Tells of something that the library emitted. */
export const event = (name, fields) => say({ event: name, ...fields });

/** Does the steps that come, and answers each. */
export async function serve(steps) {
  for await (const line of createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    Promise.resolve()
      .then(() => steps[step.do](step))
      .then((value) => say({ answer: step.id, value: value ?? null }))
      .catch((error) => say({ answer: step.id, error: `${error?.stack ?? error}`, status: error?.status, code: error?.code }));
  }
}
