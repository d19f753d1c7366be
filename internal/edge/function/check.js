// What the Lambda@Edge function and the CloudFront function have in common.
// package edge says what is signed, and testdata/vectors.json what must pass.
// CloudFront's runtime knows little of JavaScript: no spread, no for-of, no
// destructuring; await only as a statement or the right side of one.

const crypto = require('crypto');

const MAX_PATH = 1 + 3 * 1024; // characters: a key of 1,024 bytes in escapes
const TOLERANCE = 60; // seconds

const REFUSALS = {
  method: { status: 405, title: 'Method Not Allowed', text: 'Only GET and HEAD are answered.\n' },
  forbidden: { status: 403, title: 'Forbidden', text: 'This link was not made by the package server.\n' },
  expired: { status: 403, title: 'Forbidden', text: 'This link has expired. Ask the package server for a new one.\n' },
  unavailable: { status: 503, title: 'Service Unavailable', text: 'Links cannot be checked at the moment. Try again.\n' },
};

// canonical decodes each %XX once and writes whatever is not plain as %XX with
// capital digits. It gives '' for a path that must not be passed on.
function canonical(path) {
  if (path.length > MAX_PATH || path.charAt(0) !== '/') {
    return '';
  }
  let wrong = false;
  const out = path.replace(/%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~\/-]/g, function (s) {
    const c = s.length === 3 ? parseInt(s.slice(1), 16) : s.charCodeAt(0);
    if (c < 32 || c === 127 || c === 92 || s.length !== 3 && (c > 126 || ' #?%'.indexOf(s) >= 0)) {
      wrong = true;
      return '';
    }
    const plain = String.fromCharCode(c);
    return /[A-Za-z0-9._~\/-]/.test(plain) ? plain : '%' + c.toString(16).toUpperCase();
  });
  // Steps that are empty or dots.
  return wrong || /\/\.{0,2}(\/|$)/.test(out) ? '' : out;
}

// parse takes path and token apart; null if they cannot be ours.
function parse(path, token) {
  const clean = canonical(path);
  if (clean === '' || token.length !== 63 || !/^[1-9][0-9]{9}_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/.test(token)) {
    return null;
  }
  const expiry = token.slice(0, 10);
  const id = token.slice(11, 19);
  return {
    path: clean,
    id: id,
    expiry: Number(expiry),
    signature: token.slice(20),
    message: 'packagecloud-edge-1\n' + id + '\n' + expiry + '\n' + clean,
  };
}

// verify says why a link is refused, or ''. Texts are compared, not bytes: the
// last character of base64 has bits that stand for nothing. The loop takes the
// same time wherever they differ; CloudFront has no timingSafeEqual.
function verify(link, secret, milliseconds) {
  const mac = crypto.createHmac('sha256', secret).update(link.message).digest('base64url');
  let difference = 0;
  for (let i = 0; i < mac.length; i++) {
    difference |= mac.charCodeAt(i) ^ link.signature.charCodeAt(i);
  }
  if (difference !== 0) {
    return 'forbidden';
  }
  return Math.floor(milliseconds / 1000) > link.expiry + TOLERANCE ? 'expired' : '';
}

function allowed(method) {
  return method === 'GET' || method === 'HEAD';
}

if (typeof module === 'object') {
  module.exports = { allowed: allowed, parse: parse, verify: verify, REFUSALS: REFUSALS };
}
