package awsfake

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"packagecloud/internal/edge/cloudfronttest"
)

// AtEdge is what an edge serves by: edge 0 has the newest configuration of each
// distribution, and the others that before, until a change is deployed.
func (f *Fake) AtEdge(edge int, bucket string) *cloudfronttest.Configuration {
	g := &cloudfronttest.Configuration{
		CachePolicies:          map[string]*types.CachePolicyConfig{},
		OriginAccessControls:   map[string]*types.OriginAccessControlConfig{},
		OriginAccessIdentities: map[string]string{},
		BucketPolicies:         map[string]string{bucket: f.BucketPolicy(bucket)},
	}
	for _, id := range f.Distributions() {
		configs := f.AtEdges(id)
		d := cloudfronttest.Distribution{ID: id, Config: configs[min(edge, len(configs)-1)]}
		d.ARN, d.DomainName = f.DistributionNames(id)
		g.Distributions = append(g.Distributions, d)
		policy := aws.ToString(d.Config.DefaultCacheBehavior.CachePolicyId)
		if p, ok := f.CachePolicy(policy); ok {
			g.CachePolicies[policy] = &p
		}
		for _, o := range d.Config.Origins.Items {
			control := aws.ToString(o.OriginAccessControlId)
			if config, ok := f.OriginAccessControl(control); ok {
				g.OriginAccessControls[control] = &config
			}
			identity := strings.TrimPrefix(aws.ToString(o.S3OriginConfig.OriginAccessIdentity), "origin-access-identity/cloudfront/")
			if i, ok := f.OriginAccessIdentity(identity); ok {
				g.OriginAccessIdentities[identity] = aws.ToString(i.S3CanonicalUserId)
			}
		}
	}
	return g
}
