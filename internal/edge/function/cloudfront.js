import cf from 'cloudfront';

// The CloudFront function for viewer requests, the cheaper edge: the same check
// with the secrets in a KeyValueStore, by key id. check.js is put between the
// import and this.

function refuse(reason) {
  const r = REFUSALS[reason];
  const headers = {
    'cache-control': { value: 'no-store' },
    'content-type': { value: 'text/plain; charset=utf-8' },
  };
  if (r.status === 405) {
    headers.allow = { value: 'GET, HEAD' };
  }
  if (r.status === 503) {
    headers['retry-after'] = { value: '5' };
  }
  return { statusCode: r.status, statusDescription: r.title, headers: headers, body: { encoding: 'text', data: r.text } };
}

// judge says why a link is refused, or ''.
async function judge(link) {
  const store = cf.kvs();
  let secret = '';
  try {
    secret = await store.get(link.id);
  } catch (error) { // no such key, or no store
    const known = await store.exists(link.id);
    return known ? 'unavailable' : 'forbidden';
  }
  return verify(link, secret, Date.now());
}

async function handler(event) {
  const request = event.request;
  if (!allowed(request.method)) {
    return refuse('method');
  }
  const t = request.querystring.t;
  const link = t && !t.multiValue ? parse(request.uri, t.value) : null;
  if (!link) {
    return refuse('forbidden');
  }
  let reason = 'unavailable';
  try {
    reason = await judge(link);
  } catch (error) {
    console.log('read the secret of a link: ' + error.message);
  }
  if (reason !== '') {
    return refuse(reason);
  }
  request.uri = link.path;
  request.querystring = {};
  request.cookies = {};
  delete request.headers.authorization;
  delete request.headers.cookie;
  return request;
}
