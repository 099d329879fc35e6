// Oxigraph behind a SPARQL 1.1 address: node oxigraph_server.cjs FILE.nt PORT
const fs = require('node:fs');
const http = require('node:http');
const oxigraph = require('oxigraph');

const [file, port] = process.argv.slice(2);
const store = new oxigraph.Store();
store.load(fs.readFileSync(file, 'utf8'), { format: 'application/n-triples' });

http
  .createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      const query = new URLSearchParams(Buffer.concat(pieces).toString()).get('query');
      try {
        const type = 'application/sparql-results+json';
        const body = query === null ? '' : store.query(query, { results_format: type });
        response.writeHead(200, { 'Content-Type': type }).end(body);
      } catch (error) {
        response.writeHead(400).end(String(error));
      }
    });
  })
  .listen(Number(port), '127.0.0.1');
