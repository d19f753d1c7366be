package cloudfronttest

import (
	"net/http"
	"net/textproto"
	"strconv"
	"time"
)

// serve answers from the cache or from the bucket.
func (x *exchange) serve(w http.ResponseWriter) error {
	k, err := x.keyed()
	if err != nil {
		return err
	}
	viewer := x.viewer()
	want := span{none: true}
	if viewer.Method == http.MethodGet {
		want = all
		if ranges := viewer.Header.Get("Range"); ranges != "" {
			var ok bool
			if want, ok = parseRange(ranges); !ok {
				viewer.Header.Del("Range")
			}
		}
	}
	o, p, err := x.object(k, want)
	if err != nil {
		return err
	}
	if ifRange := viewer.Header.Get("If-Range"); ifRange != "" && o.status == http.StatusOK && !holds(ifRange, o.header) {
		viewer.Header.Del("Range")
		if o, p, err = x.object(k, all); err != nil {
			return err
		}
	}
	hit := x.entry.Result == Hit
	x.write(w, viewer, o, p)
	// Not before: "CloudFront does not cache the object" if the viewer went
	// away, or was cut off.
	switch {
	case hit:
	case x.edge.now().Before(o.expires):
		x.edge.cache.put(k.key, o)
	default:
		x.edge.cache.remove(k.key)
	}
	return nil
}

// viewer is the request of the viewer as the function left it.
func (x *exchange) viewer() *http.Request {
	r := x.r.Clone(x.r.Context())
	r.Header = http.Header{}
	for name, values := range x.request.Headers {
		for _, v := range values {
			r.Header.Add(textproto.CanonicalMIMEHeaderKey(name), v.Value)
		}
	}
	return r
}

// object gets an object, and the part of it that has what is wanted, from the
// cache if it can.
func (x *exchange) object(k keyed, want span) (*object, part, error) {
	now := x.edge.now()
	cached := x.edge.cache.get(k.key)
	if cached != nil {
		p, ok := cached.find(want)
		switch {
		case ok && now.Before(cached.expires):
			x.entry.Result = Hit
			return cached, p, nil
		case ok && cached.status == http.StatusOK && cached.header.Get("Etag") != "":
			return x.revalidate(k, want, cached, p)
		}
	}
	x.entry.Result = Miss
	o, err := x.fetch(k, want, nil)
	if err != nil {
		return nil, part{}, err
	}
	p, ok := o.find(want)
	if !ok {
		return nil, part{}, &refusal{http.StatusBadGateway, Error, "the origin sent another range than it was asked for"}
	}
	return o, p, nil
}

// revalidate asks whether an object that expired is still the one that is
// cached. If the bucket cannot tell, the old one has to do.
func (x *exchange) revalidate(k keyed, want span, cached *object, p part) (*object, part, error) {
	o, err := x.fetch(k, want, cached)
	_, forbids := directives(cached.header)["stale-if-error"]
	switch {
	case (err != nil || o.status >= 500) && !forbids:
		x.entry.Result = Hit
		return cached, p, nil
	case err != nil:
		return nil, part{}, err
	case o.status == http.StatusNotModified:
		// Whether the headers of a 304 replace those of the object is not
		// documented: they do not, which is worse for who changed them.
		x.entry.Result = RefreshHit
		renewed := *cached
		renewed.stored = x.edge.now()
		renewed.expires = renewed.stored.Add(life(x.behavior.CachePolicy, cached.header, renewed.stored))
		return &renewed, p, nil
	}
	x.entry.Result = Miss
	p, ok := o.find(want)
	if !ok {
		return nil, part{}, &refusal{http.StatusBadGateway, Error, "the origin sent another range than it was asked for"}
	}
	return o, p, nil
}

// write sends an object to the viewer; ranges and conditions are looked at
// here.
func (x *exchange) write(w http.ResponseWriter, viewer *http.Request, o *object, p part) {
	header := w.Header()
	for name, values := range o.header {
		header[name] = values
	}
	if x.entry.Result == Hit {
		header.Set("Age", strconv.FormatInt(max(0, int64(x.edge.now().Sub(o.stored)/time.Second)), 10))
	}
	if o.status != http.StatusOK {
		x.entry.Result = Error
		header.Set("X-Cache", string(Error)+" from cloudfront")
		w.WriteHeader(o.status)
		_, _ = w.Write(o.parts[0].body)
		return
	}
	header.Set("X-Cache", string(x.entry.Result)+" from cloudfront")
	modified, _ := http.ParseTime(o.header.Get("Last-Modified"))
	http.ServeContent(w, viewer, "", modified, &reader{part: p, size: o.size})
}
