import { createServer } from 'node:http';

import { Flags } from './flags.js';
import { deployed } from './rankers.js';
import { Service } from './service.js';

const service = new Service(Flags.load(), deployed());

createServer(async (request, response) => {
  const { status, document } = await service.handle(request.method, request.url).catch((error) => {
    console.error(error);
    return { status: 500, document: { error: 'internal error' } };
  });
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document));
}).listen(Number(process.env.PORT ?? 8050));
