package provision

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	kvs "github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore"
	kvstypes "github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore/types"
)

// The key value store has the secrets of the CloudFront function, each under
// its key id.

const (
	storeComment = "packagecloud: the secrets of the CloudFront function"
	// storeTime is how long a change of a store may take to be at all edges. AWS
	// says that it takes seconds, and does not tell when it is done.
	storeTime = time.Minute
	// storePoll is how often it is asked how long ago that was.
	storePoll = 5 * time.Second
)

// Store is the key value store.
type Store struct {
	ARN   string
	Ready bool              // else what follows but Tags is not known
	ETag  string            // of its keys
	Keys  map[string]string // the secrets by their key ids, and what else is there
	// Settled is that all edges have the keys by now.
	Settled bool
	Tags    map[string]string
}

// readStore reads the store, and its keys if it is ready.
func (a *observer) readStore(ctx context.Context, o *Observed) error {
	resource := "arn:aws:cloudfront::" + o.Account + ":key-value-store/" + o.Name
	out, err := a.CloudFront.DescribeKeyValueStore(ctx, &cloudfront.DescribeKeyValueStoreInput{Name: aws.String(o.Name)})
	if code(err) == "EntityNotFound" {
		return nil
	}
	if err != nil {
		return denied(err, "cloudfront:DescribeKeyValueStore", resource, "read the key value store %s", o.Name)
	}
	s := &Store{ARN: aws.ToString(out.KeyValueStore.ARN), Ready: aws.ToString(out.KeyValueStore.Status) == "READY", Keys: map[string]string{}}
	if s.Tags, err = a.cloudFrontTags(ctx, s.ARN); err != nil {
		return err
	}
	if s.Ready && ours(s.Tags) {
		if err := a.readKeys(ctx, s); err != nil {
			return err
		}
	}
	o.Store = s
	return nil
}

// readKeys reads the keys after the ETag, so that who changed them in between
// makes the ETag wrong and not the keys.
func (a *observer) readKeys(ctx context.Context, s *Store) error {
	var err error
	if s.ETag, s.Settled, err = a.storeState(ctx, s.ARN); err != nil {
		return err
	}
	pages := kvs.NewListKeysPaginator(a.KeyValues, &kvs.ListKeysInput{KvsARN: aws.String(s.ARN)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return denied(err, "cloudfront-keyvaluestore:ListKeys", s.ARN, "list the keys of the key value store %s", s.ARN)
		}
		for _, item := range page.Items {
			s.Keys[aws.ToString(item.Key)] = aws.ToString(item.Value)
		}
	}
	return nil
}

// storeState is the ETag of the keys of a store, and whether all edges have
// them. The clock is that of AWS.
func (a *AWS) storeState(ctx context.Context, arn string) (etag string, settled bool, err error) {
	out, err := a.KeyValues.DescribeKeyValueStore(ctx, &kvs.DescribeKeyValueStoreInput{KvsARN: aws.String(arn)})
	if err != nil {
		return "", false, denied(err, "cloudfront-keyvaluestore:DescribeKeyValueStore", arn, "read the keys of the key value store %s", arn)
	}
	now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		now = time.Now()
	}
	return aws.ToString(out.ETag), out.LastModified == nil || now.Sub(*out.LastModified) >= storeTime, nil
}

// keyIDPattern is what the keys of secrets look like. Others in the store stay.
var keyIDPattern = regexp.MustCompile(`^[0-9a-f]{8}$`)

// wanted are the secrets by their key ids.
func (s *Settings) wanted() map[string]string {
	m := map[string]string{}
	for _, secret := range s.sortedSecrets() {
		m[s.Edge.KeyID(secret)] = secret
	}
	return m
}

// missing are the key ids of the secrets that the store lacks.
func (st *Store) missing(s *Settings) (ids []string) {
	for id, secret := range s.wanted() {
		if st == nil || st.Keys[id] != secret {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// recorded are the key ids that an installation has put into the store, by its
// reference. They stand in the store itself, under that reference, so that they
// change together with the keys: secrets of others are never taken out.
func (st *Store) recorded(reference string) (ids []string) {
	if st == nil {
		return nil
	}
	for id := range strings.SplitSeq(st.Keys[reference], ",") {
		if _, ok := st.Keys[id]; ok && keyIDPattern.MatchString(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// unrecorded are the key ids of the secrets that are not recorded as ours.
func (st *Store) unrecorded(s *Settings) (ids []string) {
	have := st.recorded(s.reference())
	for _, id := range slices.Sorted(maps.Keys(s.wanted())) {
		if !slices.Contains(have, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// surplus are the key ids of our secrets that are none any more, and that no
// other installation has as well.
func (st *Store) surplus(s *Settings) (ids []string) {
	wanted := s.wanted()
	var others []string
	for key := range st.Keys {
		if strings.HasPrefix(key, referencePrefix) && key != s.reference() {
			others = append(others, st.recorded(key)...)
		}
	}
	for _, id := range st.recorded(s.reference()) {
		if _, ok := wanted[id]; !ok && !slices.Contains(others, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// store plans the store and the secrets that it lacks.
func (p *Plan) store(s *Settings, o *Observed) error {
	if o.Store == nil {
		p.add(createStore, o.Name, "the function finds the secrets in it")
	} else if !ours(o.Store.Tags) {
		return notOurs("key value store", o.Name)
	}
	missing := o.Store.missing(s)
	if len(missing) > 0 {
		p.add(putKeys, o.Name, "the function must know the secrets that sign links", each("put ", missing)...)
	} else if ids := o.Store.unrecorded(s); len(ids) > 0 {
		p.add(recordKeys, o.Name, "secrets are taken out later only if they are known to be of this installation", each("record ", ids)...)
	}
	return nil
}

// takeKeys plans that secrets which are none any more end.
func (p *Plan) takeKeys(s *Settings, o *Observed) {
	if o.Store == nil || len(s.Secrets) == 0 {
		return
	}
	if ids := o.Store.surplus(s); len(ids) > 0 {
		p.add(removeKeys, o.Name, "links of these secrets are to end", each("remove ", ids)...)
	}
}

// settle plans to wait for the keys.
func (p *Plan) settle(o *Observed) {
	changes := slices.ContainsFunc(p.Actions, func(a Action) bool { return a.Verb == putKeys || a.Verb == recordKeys || a.Verb == removeKeys })
	if changes || o.Store != nil && o.Store.Ready && !o.Store.Settled {
		p.add(waitKeys, o.Name, "a change takes some seconds to be at all edges")
	}
}

func each(before string, texts []string) []string {
	lines := make([]string, 0, len(texts))
	for _, t := range texts {
		lines = append(lines, before+t)
	}
	return lines
}

func (r *Runner) doStore(ctx context.Context, o *Observed, v Verb) error {
	if v == createStore {
		_, err := r.AWS.CloudFront.CreateKeyValueStore(ctx, &cloudfront.CreateKeyValueStoreInput{Name: aws.String(o.Name), Comment: aws.String(storeComment), Tags: ourTags()})
		return refused(err, "cloudfront:CreateKeyValueStore", "*")
	}
	if !o.Store.Ready {
		return errNoStoreYet
	}
	if v == waitKeys {
		return r.waitKeys(ctx, o.Store.ARN)
	}
	in := &kvs.UpdateKeysInput{KvsARN: aws.String(o.Store.ARN), IfMatch: aws.String(o.Store.ETag)}
	wanted := r.Settings.wanted()
	record := slices.Sorted(maps.Keys(wanted))
	if v == removeKeys {
		for _, id := range o.Store.surplus(&r.Settings) {
			in.Deletes = append(in.Deletes, kvstypes.DeleteKeyRequestListItem{Key: aws.String(id)})
		}
	} else {
		for _, id := range o.Store.missing(&r.Settings) {
			in.Puts = append(in.Puts, kvstypes.PutKeyRequestListItem{Key: aws.String(id), Value: aws.String(wanted[id])})
		}
		record = append(record, o.Store.recorded(r.Settings.reference())...)
		slices.Sort(record)
		record = slices.Compact(record)
	}
	in.Puts = append(in.Puts, kvstypes.PutKeyRequestListItem{Key: aws.String(r.Settings.reference()), Value: aws.String(strings.Join(record, ","))})
	_, err := r.AWS.KeyValues.UpdateKeys(ctx, in)
	return refused(err, "cloudfront-keyvaluestore:UpdateKeys", o.Store.ARN)
}

// waitKeys waits until all edges have the keys as they are now.
func (r *Runner) waitKeys(ctx context.Context, arn string) error {
	for waited := time.Duration(0); waited < 2*storeTime; waited += storePoll {
		_, settled, err := r.AWS.storeState(ctx, arn)
		if err != nil || settled {
			return err
		}
		if err := r.sleep(ctx, storePoll); err != nil {
			return err
		}
	}
	return errors.New("somebody changes the keys of the key value store all the time: run the command again later")
}

func ourTags() *types.Tags {
	return &types.Tags{Items: []types.Tag{{Key: aws.String(Tag), Value: aws.String(tagValue)}}}
}
