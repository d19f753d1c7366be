// The Lambda@Edge function for viewer requests: lets a request for a signed
// link through, without its query and credentials, and refuses all others.
'use strict';

const crypto = require('node:crypto');
const check = require('./check.js');
const config = require('./config.json');
const decrypt = require('./kms.js');

// The promise of the secrets by key id, kept for the life of this instance. A
// failure is not kept: the next request tries again.
let pending;

function secrets() {
  if (!pending) {
    pending = decrypt(config).then(byID);
    pending.catch(() => { pending = undefined; });
  }
  return pending;
}

function byID(text) {
  const id = (secret) => crypto.createHash('sha256').update('packagecloud-edge-id\n' + secret).digest('hex').slice(0, 8);
  const known = new Map(text.split('\n').map((secret) => [id(secret), secret]));
  if (!config.KeyIDs.every((id) => known.has(id))) {
    throw new Error('they are not those that config.json names');
  }
  return known;
}

// token is the value of t, which must be in the query once; '' is none.
function token(query) {
  const found = query.split('&').filter((p) => p === 't' || p.startsWith('t='));
  return found.length === 1 ? found[0].slice(2) : '';
}

async function judge(request) {
  if (!check.allowed(request.method)) {
    return refuse('method');
  }
  const link = check.parse(request.uri, token(request.querystring));
  if (!link || !config.KeyIDs.includes(link.id)) {
    return refuse('forbidden');
  }
  let secret;
  try {
    secret = (await secrets()).get(link.id);
  } catch (error) {
    console.error('decrypt the secrets of links:', error.message);
    return refuse('unavailable');
  }
  const reason = check.verify(link, secret, Date.now());
  if (reason) {
    return refuse(reason);
  }
  request.uri = link.path;
  request.querystring = '';
  delete request.headers.authorization;
  delete request.headers.cookie;
  return request;
}

function refuse(reason) {
  const { status, title, text } = check.REFUSALS[reason];
  const headers = {
    'cache-control': [{ key: 'Cache-Control', value: 'no-store' }],
    'content-type': [{ key: 'Content-Type', value: 'text/plain; charset=utf-8' }],
  };
  if (status === 405) {
    headers.allow = [{ key: 'Allow', value: 'GET, HEAD' }];
  }
  if (status === 503) {
    headers['retry-after'] = [{ key: 'Retry-After', value: '5' }];
  }
  return { status: String(status), statusDescription: title, headers, body: text, bodyEncoding: 'text' };
}

exports.handler = async (event) => {
  try {
    return await judge(event.Records[0].cf.request);
  } catch (error) { // a request that is unlike any that CloudFront sends
    console.error('check a request:', error.message);
    return refuse('forbidden');
  }
};
