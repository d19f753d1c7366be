//go:build clockoffset

package s3blob

import (
	"time"
	_ "unsafe" // for linkname

	"packagecloud/internal/clock"
)

// The SDK signs requests by a clock of its own, which a test build sets too.
//
//go:linkname sdkNow github.com/aws/aws-sdk-go-v2/internal/sdk.NowTime
var sdkNow func() time.Time

func init() { sdkNow = clock.Now }
