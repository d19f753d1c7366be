package awsfake

import (
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// newTags are the tags that a resource of CloudFront is made with.
func (f *Fake) newTags(c *call, resource string, in *cloudfront.Tags) (map[string]string, error) {
	tags := map[string]string{}
	if in == nil {
		return tags, nil
	}
	if err := f.may(c, "cloudfront:TagResource", resource); err != nil {
		return nil, err
	}
	for _, t := range in.Items {
		tags[*t.Key] = aws.ToString(t.Value)
	}
	return tags, nil
}

// tagged are the tags of the resource that a call names.
func (f *Fake) tagged(c *call, action string) (map[string]string, error) {
	arn := c.r.URL.Query().Get("Resource")
	if err := f.may(c, action, arn); err != nil {
		return nil, err
	}
	if d := f.distributions[strings.TrimPrefix(arn, cloudFrontARN+"distribution/")]; d != nil {
		return d.tags, nil
	}
	if e := f.edgeFunctions[strings.TrimPrefix(arn, edgeFunctionPrefix)]; e != nil {
		return e.tags, nil
	}
	if s := f.storeByARN(arn); s != nil {
		return s.tags, nil
	}
	return nil, fail(http.StatusNotFound, "NoSuchResource", "The resource %s does not exist.", arn)
}

func (f *Fake) listCloudFrontTags(c *call, _ string) (answer, error) {
	c.operation = "ListTagsForResource"
	have, err := f.tagged(c, "cloudfront:ListTagsForResource")
	if err != nil {
		return answer{}, err
	}
	tags := &cloudfront.Tags{}
	for _, k := range sortedKeys(have) {
		tags.Items = append(tags.Items, cloudfront.Tag{Key: aws.String(k), Value: aws.String(have[k])})
	}
	return answer{http.StatusOK, "Tags", tags, ""}, nil
}

func (f *Fake) tagCloudFront(c *call, _ string) (answer, error) {
	c.operation = "TagResource"
	have, err := f.tagged(c, "cloudfront:TagResource")
	if err != nil {
		return answer{}, err
	}
	tags := &cloudfront.Tags{}
	if err := parse(c, "Tags", tags); err != nil {
		return answer{}, err
	}
	for _, t := range tags.Items {
		have[*t.Key] = aws.ToString(t.Value)
	}
	f.changed = true
	return answer{}, nil
}
