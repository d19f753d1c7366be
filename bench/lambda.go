package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"packagecloud/internal/edge"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/edge/function"
)

// benchLambda gives the Lambda function an event over the Runtime API, on the
// Node.js and the runtime client of Lambda: to a process that has its secrets,
// and to a new one, which asks KMS first. So does a function that does nothing.
func benchLambda(ctx context.Context) (rows []row, err error) {
	secret := edge.GenerateSecret()
	event, err := viewerRequest(secret)
	if err != nil {
		return nil, err
	}
	ours := func(b *testing.B) ([]byte, error) { return function.Zip(edgetest.NewKMS(b).Config(secret)) }
	for _, c := range []struct {
		what string
		run  func(ctx context.Context, b *testing.B, pack, event []byte) error
		more string
	}{{"warm", invokeWarm, ""}, {"cold", invokeCold, "; AWS allows 5 s, with a KMS far away"}} {
		say("lambda: %s", c.what)
		var times []time.Duration
		for _, pack := range []func(*testing.B) ([]byte, error){ours, nothing} {
			one, err := timed(func(b *testing.B) error {
				code, err := pack(b)
				if err != nil {
					return err
				}
				return c.run(ctx, b, code, event)
			})
			if err != nil {
				return nil, err
			}
			times = append(times, one)
		}
		rows = append(rows, row{
			"check one link in the Lambda function, " + c.what, milliseconds(times[0]),
			"a function that does nothing: " + milliseconds(times[1]) + c.more,
		})
	}
	return rows, nil
}

// nothing is the package of a function that lets everything pass.
func nothing(*testing.B) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("index.js")
	if err == nil {
		_, err = w.Write([]byte("exports.handler = async (event) => event.Records[0].cf.request;\n"))
	}
	if err == nil {
		err = z.Close()
	}
	return b.Bytes(), err
}

// timed is how long one round of a benchmark takes.
func timed(run func(*testing.B) error) (time.Duration, error) {
	testing.Init() // without which a benchmark cannot say anything
	// edgetest ends it on the spot if it has no Node.js.
	err := errors.New("what scripts/node-tools installs is missing: run scripts/bench")
	r := testing.Benchmark(func(b *testing.B) {
		if err = run(b); err != nil {
			b.FailNow()
		}
	})
	if err != nil {
		return 0, err
	}
	return r.T / time.Duration(r.N), nil
}

// invokeWarm asks one process again and again.
func invokeWarm(ctx context.Context, b *testing.B, pack, event []byte) error {
	f, err := edgetest.Start(b, pack)
	if err == nil {
		err = passes(ctx, f, event)
	}
	for err == nil && b.Loop() {
		err = passes(ctx, f, event)
	}
	return err
}

// invokeCold asks each process once. They end with the benchmark.
func invokeCold(ctx context.Context, b *testing.B, pack, event []byte) error {
	for b.Loop() {
		f, err := edgetest.Start(b, pack)
		if err == nil {
			err = passes(ctx, f, event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// passes fails unless the function lets the event pass.
func passes(ctx context.Context, f *edgetest.Function, event []byte) error {
	answer, err := f.Invoke(ctx, event)
	if err == nil && !bytes.Contains(answer, []byte(`"uri"`)) {
		err = fmt.Errorf("the function answers %s", answer)
	}
	return err
}

// viewerRequest is an event with a signed link.
func viewerRequest(secret string) ([]byte, error) {
	keys, err := edge.NewKeys(secret)
	if err != nil {
		return nil, err
	}
	link := (&edge.Signer{Keys: keys}).URL(signedKey, 1)
	path, query, _ := bytes.Cut([]byte(link), []byte("?"))
	type object = map[string]any
	return json.Marshal(object{"Records": []object{{"cf": object{
		"config": object{"distributionDomainName": "d1.cloudfront.net", "distributionId": "E1", "eventType": "viewer-request", "requestId": "1"},
		"request": object{
			"clientIp": "203.0.113.178", "method": "GET", "uri": string(path), "querystring": string(query),
			"headers": object{"host": []object{{"key": "Host", "value": "d1.cloudfront.net"}}},
		},
	}}}})
}
