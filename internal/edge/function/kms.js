// Decrypts by KMS: one POST, signed by hand (Signature Version 4), because
// loading the SDK would cost more time than all the rest of a cold start.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const https = require('node:https');

// The key is in us-east-1. AWS_REGION says where this replica runs.
const REGION = 'us-east-1';
const HOST = 'kms.us-east-1.amazonaws.com';

// A viewer request may take 5 s in all: two attempts and the pause are 3.7.
const TIMEOUT = 1800; // ms
const PAUSE = 100; // ms

const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');
const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();

// signed gives the headers of a request to KMS.
function signed(host, action, body) {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: key, AWS_SESSION_TOKEN: session } = process.env;
  const time = new Date().toISOString().replace(/[:-]|\.\d{3}/g, '');
  const headers = { 'content-type': 'application/x-amz-json-1.1', host, 'x-amz-date': time, 'x-amz-target': 'TrentService.' + action };
  if (session) {
    headers['x-amz-security-token'] = session;
  }
  const names = Object.keys(headers).sort();
  const request = ['POST', '/', '', ...names.map((n) => n + ':' + headers[n]), '', names.join(';'), sha256(body)].join('\n');
  const scope = [time.slice(0, 8), REGION, 'kms', 'aws4_request'];
  const text = ['AWS4-HMAC-SHA256', time, scope.join('/'), sha256(request)].join('\n');
  const signature = hmac(scope.reduce(hmac, 'AWS4' + key), text).toString('hex');
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${id}/${scope.join('/')}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return headers;
}

function post(endpoint, action, input) {
  const body = JSON.stringify(input);
  // Only tests have an endpoint: package function lets none but loopback into
  // the configuration, and so does this.
  const test = endpoint && /^http:\/\/127\.0\.0\.1:\d+$/.test(endpoint) ? new URL(endpoint) : null;
  const host = test ? test.host : HOST;
  return new Promise((resolve, reject) => {
    const request = (test ? http : https).request({
      method: 'POST', host: test ? test.hostname : HOST, port: test ? test.port : 443,
      headers: signed(host, action, body), signal: AbortSignal.timeout(TIMEOUT),
    }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode === 200) {
          resolve(text);
        } else { // the type of the error, and nothing else that may stand there
          const type = /"__type"\s*:\s*"([\w.#]+)"/.exec(text);
          reject(new Error(`KMS answers ${response.statusCode} ${type ? type[1] : ''}`));
        }
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

// decrypt gives the text of config.Ciphertext. It tries twice.
module.exports = async function decrypt(config) {
  const input = { CiphertextBlob: config.Ciphertext, KeyId: config.KeyARN, EncryptionContext: config.Context };
  const attempt = async () => Buffer.from(JSON.parse(await post(config.Endpoint, 'Decrypt', input)).Plaintext, 'base64').toString();
  try {
    return await attempt();
  } catch {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    return attempt();
  }
};
