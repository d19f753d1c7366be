package function

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"packagecloud/internal/edge"
)

// Probe is an event for the CloudFront function with a link that a secret has
// signed, good for ten minutes, and whether an output of CloudFront's
// TestFunction is right: that of a request which is passed on.
func Probe(secret string) (event []byte, right func(output string) bool, err error) {
	keys, err := edge.NewKeys(secret)
	if err != nil {
		return nil, nil, fmt.Errorf("make a link: %w", err)
	}
	signer := edge.Signer{Origin: "https://test", Keys: keys}
	link, err := url.Parse(signer.Until("packages/test", time.Now().Add(10*time.Minute)))
	if err != nil {
		return nil, nil, fmt.Errorf("make a link: %w", err)
	}
	type object = map[string]any
	event, err = json.Marshal(object{
		"version": "1.0", "context": object{"eventType": "viewer-request"}, "viewer": object{"ip": "192.0.2.1"},
		"request": object{
			"method": "GET", "uri": link.EscapedPath(), "querystring": object{"t": object{"value": link.Query().Get("t")}},
			"headers": object{"host": object{"value": link.Host}}, "cookies": object{},
		},
	})
	right = func(output string) bool {
		var got struct {
			Request *struct {
				URI   string         `json:"uri"`
				Query map[string]any `json:"querystring"`
			} `json:"request"`
		}
		err := json.Unmarshal([]byte(output), &got)
		return err == nil && got.Request != nil && got.Request.URI == link.EscapedPath() && len(got.Request.Query) == 0
	}
	return event, right, err
}
