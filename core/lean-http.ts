/**
 * To be imported before anything that imports `node:http`. When an ES module does so for the first time, Node reads every
 * member of that module, and reading these three loads the undici inside Node: measured, 35 ms of CPU and 13 MiB in every
 * process, for a WebSocket client that nobody here uses. What is not there is not read.
 */
const http = process.getBuiltinModule('node:http');
for (const name of ['WebSocket', 'CloseEvent', 'MessageEvent']) Reflect.deleteProperty(http, name);
