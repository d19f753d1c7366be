package blob

import (
	"context"
	"time"
)

// The abilities that only some stores have. A caller asks for them by a type
// assertion and does without where they are missing.

// Linker is a Store whose objects clients can fetch themselves.
type Linker interface {
	// Link is a URL that answers GET with the object, whoever asks, and stops
	// to do so after life. It does not look whether the object exists.
	Link(ctx context.Context, key string, life time.Duration) (string, error)
}

// Composer is a Store that puts an object together from ranges of others, and
// so need not be sent again what it has.
type Composer interface {
	// Compose stores the parts, one after the other, under key, durably before
	// it returns. A key that exists already is left as it is. A range that
	// does not exist is an error.
	Compose(ctx context.Context, key string, parts []Part, a Attributes) error
}

// Part is a piece of an object that is composed: a range of another object,
// or, where Key is "", the bytes of Body.
type Part struct {
	Key          string
	Offset, Size int64
	Body         []byte
}

// Restamper is a Store that keeps attributes with its objects.
type Restamper interface {
	// Restamp gives a stored object new attributes, in place and of any size,
	// and leaves everything else that it has as it is, also its type if
	// ContentType is "". changed is false if it had them already.
	Restamp(ctx context.Context, key string, a Attributes) (changed bool, err error)
}

// Tidier is a Store in which a killed process leaves more than objects.
type Tidier interface {
	// Tidy removes what was left days ago. It may run beside everything else.
	Tidy(ctx context.Context) error
}

// Timekeeper is a Store with a clock of its own.
type Timekeeper interface {
	// Now is the time by that clock.
	Now() time.Time
}

// Described is an Object of a store that keeps attributes with its objects.
type Described interface {
	// Attributes are what was stored with the object; Class is not among them.
	Attributes() Attributes
}
