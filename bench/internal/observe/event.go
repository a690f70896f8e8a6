package observe

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// parse handles the events of one read.
func (o *Observer) parse(buf []byte, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf[0:]))
		mask := binary.NativeEndian.Uint32(buf[4:])
		length := binary.NativeEndian.Uint32(buf[12:])
		name := buf[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+length]
		buf = buf[unix.SizeofInotifyEvent+length:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			o.result.Overflows++
			continue
		}
		if d := o.dirs[int(wd)]; d != nil {
			o.event(d, mask, string(bytes.TrimRight(name, "\x00")), now)
		}
	}
}

func (o *Observer) event(d *dir, mask uint32, name string, now time.Time) {
	if plain, ok := strings.CutSuffix(name, ".gz"); ok {
		// kubelet and logwatch rename a finished .gz; gzip(1) writes it in place.
		if r := d.rotations[plain]; r != nil && mask&(unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE) != 0 {
			r.Compressed = true
		}
		return
	}
	if !rotatedName.MatchString(name) {
		return
	}
	switch {
	case mask&(unix.IN_MOVED_TO|unix.IN_CREATE) != 0:
		o.rotated(d, name, mask&unix.IN_CREATE != 0, now)
	case mask&unix.IN_CLOSE_WRITE != 0:
		if r := d.rotations[name]; r != nil && r.Copied {
			r.finish()
		}
	}
}

// rotated records a new rotated log. One that is exchanged with an empty file of its
// name, as logwatch does, is created first: that was not a rotation.
func (o *Observer) rotated(d *dir, name string, copied bool, now time.Time) {
	fd, err := unix.Openat(d.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return // pruned already
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd) // O_PATH: nothing to lose
		return
	}
	r := &open{Rotation: Rotation{Dir: d.rel, At: now, Size: st.Size, Final: st.Size, Copied: copied}, fd: fd}
	for i, s := range d.below {
		// The live log that was copied is still the live one.
		if s.inode == st.Ino || copied && i == 0 && s.inode != 0 {
			r.Latency = now.Sub(s.at)
		}
	}
	if created := d.rotations[name]; created != nil && created.Copied && !copied {
		created.finish() // closes it
		o.all = slices.DeleteFunc(o.all, func(r *open) bool { return r == created })
	}
	d.rotations[name] = r
	o.all = append(o.all, r)
}
