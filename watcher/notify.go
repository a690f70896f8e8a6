package watcher

import "github.com/fsnotify/fsnotify"

// notifier is the inotify instance. Add on a path that is watched already is
// fine, and puts the watch on what has that name now. Events is closed by
// Close; Close does not wait for the receiver.
type notifier interface {
	Add(path string) error
	Remove(path string) error
	Events() <-chan fsnotify.Event
	// Errors has something to receive after an error; several errors may come
	// as one.
	Errors() <-chan error
	Close() error
}

type inotify struct {
	*fsnotify.Watcher
	errors  chan error
	drained chan struct{}
}

func openInotify() (notifier, error) {
	fw, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	in := &inotify{fw, make(chan error, 1), make(chan struct{})}
	go in.drain()
	return in, nil
}

// drain always receives: fsnotify may send an error while it holds the lock that
// Add and Remove take, and a loop that is about to call those would wait for
// ever. Whatever the error, the answer is a sweep, and one that waits already
// serves for the next.
func (in *inotify) drain() {
	defer close(in.drained)
	for err := range in.Watcher.Errors {
		select {
		case in.errors <- err:
		default:
		}
	}
}

func (in *inotify) Events() <-chan fsnotify.Event { return in.Watcher.Events }
func (in *inotify) Errors() <-chan error          { return in.errors }

func (in *inotify) Close() error {
	err := in.Watcher.Close()
	<-in.drained
	return err
}
