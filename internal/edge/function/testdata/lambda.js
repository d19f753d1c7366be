// usage: node lambda.js FOLDER NOW
//
// Answers each line [method, path, query] with a line [answer, path passed on]
// by the handler in FOLDER, which takes NOW for the time (Unix seconds).
'use strict';

const { handler } = require(process.argv[2] + '/index.js');
Date.now = () => process.argv[3] * 1000;

const ANSWERS = [[405, 'method'], [503, 'unavailable'], [403, 'expired'], [403, 'forbidden']];

async function answer(line) {
  const [method, uri, querystring] = JSON.parse(line);
  const headers = { host: [{ key: 'Host', value: 'd1.cloudfront.net' }] };
  const r = await handler({ Records: [{ cf: { config: {}, request: { clientIp: '192.0.2.1', method, uri, querystring, headers } } }] });
  if (!r.status) {
    return JSON.stringify([r.querystring === '' && r.method === method ? 'pass' : 'changed', r.uri]);
  }
  const known = ANSWERS.find(([status, name]) => r.status === String(status) && (name !== 'expired' || r.body.includes('expired')));
  return JSON.stringify([known ? known[1] : r.status, '']);
}

(async () => {
  let rest = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    let out = '';
    for (const line of lines) {
      out += await answer(line) + '\n';
    }
    process.stdout.write(out);
  }
})();
