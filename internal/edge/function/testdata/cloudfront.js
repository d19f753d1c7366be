
// What stands below the code of the CloudFront function in tests. njs cannot
// wait for its standard input, but it waits where it writes to a FIFO that
// nobody reads. A batch is a JSON array of [method, path, query] in the file
// "in"; it is there when "gate" has been read. The answers go to "out".

const fs = require('fs');

// The time of a batch, Unix seconds.
const clock = { now: 0 };
Date.now = function () { return clock.now * 1000; };

function parsed(query) {
  const q = {};
  if (query === '') {
    return q;
  }
  query.split('&').forEach(function (p) {
    const i = p.indexOf('=');
    const named = i < 0 ? p : p.slice(0, i);
    const name = named === 't' ? 't' : 'other ' + named; // none may be __proto__
    const value = { value: i < 0 ? '' : p.slice(i + 1) };
    if (!q[name]) {
      q[name] = value;
      return;
    }
    if (!q[name].multiValue) {
      q[name].multiValue = [{ value: q[name].value }];
    }
    q[name].multiValue.push(value);
  });
  return q;
}

function named(r, method) {
  if (!r.statusCode) {
    const kept = r.method === method && Object.keys(r.querystring).length === 0 && Object.keys(r.cookies).length === 0 && !r.headers.authorization;
    return [kept ? 'pass' : 'changed', r.uri];
  }
  const expired = r.body.data.indexOf('expired') >= 0;
  const name = { 405: 'method', 503: 'unavailable', 403: expired ? 'expired' : 'forbidden' }[r.statusCode];
  return [name, ''];
}

async function main() {
  for (;;) {
    fs.writeFileSync('gate', '.');
    const batch = JSON.parse(fs.readFileSync('in', 'utf8'));
    clock.now = batch.now;
    const out = [];
    for (let i = 0; i < batch.requests.length; i++) {
      const q = batch.requests[i];
      const event = { version: '1.0', request: { method: q[0], uri: q[1], querystring: parsed(q[2]), headers: { authorization: { value: 'Basic eA==' } }, cookies: { a: { value: 'b' } } } };
      const r = await handler(event);
      out.push(named(r, q[0]));
    }
    fs.writeFileSync('out', JSON.stringify(out));
  }
}

main();
