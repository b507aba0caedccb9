import { createServer } from 'node:http';

import { loadConfig } from './config.js';
import { createService } from './service.js';

const config = loadConfig();
const handle = createService(config);

createServer(async (request, response) => {
  const { status, document } = await handle(request.method, request.url).catch((error) => {
    console.error(error);
    return { status: 500, document: { error: 'internal error' } };
  });
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document));
}).listen(config.listen);
