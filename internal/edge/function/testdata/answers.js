
// Stands below the code of the CloudFront function and prints what it returns
// for the event in the file "event".

async function answer() {
  const r = await handler(JSON.parse(require('fs').readFileSync('event', 'utf8')));
  console.log(JSON.stringify(r));
}

answer();
