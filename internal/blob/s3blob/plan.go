package s3blob

import "packagecloud/internal/blob"

// block is one part of an upload that composes an object: a range that the
// store copies, or pieces that are read here and sent.
type block struct {
	copied blob.Part   // has a Key if it is the range to copy
	pieces []blob.Part // what to send else
}

func (b block) size() int64 { return b.copied.Size + total(b.pieces) }

// size is the number of bytes of a part.
func size(p blob.Part) int64 {
	if p.Key == "" {
		return int64(len(p.Body))
	}
	return p.Size
}

func total(parts []blob.Part) (n int64) {
	for _, p := range parts {
		n += size(p)
	}
	return n
}

// plan cuts parts into blocks that an upload takes: each but the last has
// minPart bytes, none copies more than maxCopy, and there are not too many if
// that can be had by sending more in one. A range is copied if that is possible at all; where what stands before it is
// too small for a block, bytes of the range fill it up.
func plan(parts []blob.Part, l limits) []block {
	sent := l.minPart
	for {
		blocks := planBlocks(parts, l, sent)
		if int64(len(blocks)) <= l.parts || sent > total(parts) {
			return blocks
		}
		sent *= 2 // larger blocks of what is sent, and so fewer
	}
}

// cut cuts parts into blocks of n bytes that copy nothing.
func cut(parts []blob.Part, n int64) []block {
	p := planner{sent: n}
	for _, part := range merge(parts) {
		p.send(part)
	}
	p.flush()
	return p.blocks
}

// planBlocks makes blocks that send at least sent bytes, if they are followed by
// more to send.
func planBlocks(parts []blob.Part, l limits, sent int64) []block {
	p := planner{limits: l, sent: sent}
	merged := merge(parts)
	for i, part := range merged {
		p.add(part, i == len(merged)-1)
	}
	p.flush()
	return p.blocks
}

type planner struct {
	limits
	sent   int64
	blocks []block
	open   []blob.Part // pieces of the block that is not full yet
}

func (p *planner) flush() {
	if len(p.open) > 0 {
		p.blocks = append(p.blocks, block{pieces: p.open})
		p.open = nil
	}
}

// add takes in the next part; last says that none follows.
func (p *planner) add(part blob.Part, last bool) {
	if part.Key == "" {
		p.send(part)
		return
	}
	// How much of the range is needed to fill the open block up.
	var fill int64
	if have := total(p.open); have > 0 {
		fill = max(0, p.minPart-have)
	}
	// The last block of several may be small.
	end := last && fill == 0 && len(p.open)+len(p.blocks) > 0
	if part.Size-fill < p.minPart && !end {
		p.send(part)
		return
	}
	if fill > 0 {
		p.open = append(p.open, head(part, fill))
	}
	p.flush()
	p.copy(tail(part, fill))
}

// send adds what is read and sent.
func (p *planner) send(part blob.Part) {
	for size(part) > 0 {
		n := min(size(part), p.sent-total(p.open))
		p.open = append(p.open, head(part, n))
		part = tail(part, n)
		if total(p.open) == p.sent {
			p.flush()
		}
	}
}

// copy adds a range in blocks of about the same size.
func (p *planner) copy(part blob.Part) {
	count := (part.Size + p.maxCopy - 1) / p.maxCopy
	for ; count > 0; count-- {
		n := part.Size / count
		p.blocks = append(p.blocks, block{copied: head(part, n)})
		part = tail(part, n)
	}
}

// head is the first n bytes of a part, tail what follows them.
func head(p blob.Part, n int64) blob.Part {
	if p.Key == "" {
		return blob.Part{Body: p.Body[:n]}
	}
	return blob.Part{Key: p.Key, Offset: p.Offset, Size: n}
}

func tail(p blob.Part, n int64) blob.Part {
	if p.Key == "" {
		return blob.Part{Body: p.Body[n:]}
	}
	return blob.Part{Key: p.Key, Offset: p.Offset + n, Size: p.Size - n}
}

// merge drops what is empty and joins ranges that follow each other.
func merge(parts []blob.Part) (merged []blob.Part) {
	for _, p := range parts {
		if size(p) == 0 {
			continue
		}
		if n := len(merged); n > 0 && p.Key != "" {
			if before := &merged[n-1]; before.Key == p.Key && before.Offset+before.Size == p.Offset {
				before.Size += p.Size
				continue
			}
		}
		merged = append(merged, p)
	}
	return merged
}
