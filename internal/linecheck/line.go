package linecheck

import (
	"strconv"
	"sync"
)

const minDigits = 10 // of a number; more when it needs more

// fillerSize is large against gzip's window of 32 KiB, so that filler compresses
// like log text and not like a loop. A power of two.
const fillerSize = 256 << 10 // bytes

// AppendLine appends line seq (from 1) of a stream to dst: width bytes without a
// newline, or as many as the number needs.
func AppendLine(dst []byte, stream string, seq uint64, width int) []byte {
	start := len(dst)
	dst = append(dst, stream...)
	dst = append(dst, ' ')
	for limit := uint64(1_000_000_000); seq < limit && limit > 1; limit /= 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, ' ')
	text := filler()
	from := hash(stream, seq, width) % fillerSize
	for left := width - (len(dst) - start) - 1; left > 0; {
		part := text[from:]
		if len(part) > left {
			part = part[:left]
		}
		dst = append(dst, part...)
		left -= len(part)
		from = 0
	}
	return append(dst, '.')
}

// hash spreads neighboring lines over the filler (FNV-1a, then a finalizer).
func hash(stream string, seq uint64, width int) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(stream) {
		h = (h ^ uint64(stream[i])) * 1099511628211
	}
	h = (h ^ seq) * 0x9e3779b97f4a7c15
	h = (h ^ uint64(width) ^ h>>29) * 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

var words = [...]string{
	"level=info", "level=warn", "level=debug", "level=error", "msg=", "request", "served", "retrying",
	"connection", "timeout", "user=", "order", "status=200", "status=404", "status=503", "path=/api/v1/orders",
	"path=/healthz", "method=GET", "method=POST", "duration=", "cache", "miss", "hit", "queue", "depth=",
	"worker", "started", "finished", "upstream", "10.0.3.", "trace=", "span=", "attempt=", "bytes=",
}

// filler returns text like that of logs: words and numbers, the same in each build.
var filler = sync.OnceValue(func() []byte {
	text := make([]byte, 0, fillerSize+64)
	x := uint64(1)
	for len(text) < fillerSize {
		x = x*6364136223846793005 + 1442695040888963407
		word := words[(x>>33)%uint64(len(words))]
		text = append(text, word...)
		if end := word[len(word)-1]; end == '=' || end == '.' {
			text = strconv.AppendUint(text, x>>40%1_000_000, 10)
		}
		text = append(text, ' ')
	}
	return text[:fillerSize]
})
