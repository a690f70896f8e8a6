package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sys/unix"
)

// statusTimeout is for a whole Status, for which the daemon lists each container's
// directory.
const statusTimeout = 30 * time.Second

// checkTimeout is for a Check, which lists nothing. Probes have 10 seconds.
const checkTimeout = 5 * time.Second

const maxError = 64 << 10 // bytes of an answer that is an error

// Client sends requests to a daemon. NewClient creates it.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a Client for the socket at path. It does not connect yet.
func NewClient(path string) *Client {
	return &Client{path: path, http: http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // one command, one request
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// Status requests the containers that match.
func (c *Client) Status(ctx context.Context, which Names, detail bool) (s Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	q := url.Values{}
	for key, value := range map[string]string{"namespace": which.Namespace, "pod": which.Pod, "container": which.Container} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if detail {
		q.Set("detail", "1")
	}
	body, err := c.do(ctx, http.MethodGet, "/v1/status?"+q.Encode(), nil)
	if err != nil {
		return s, err
	}
	defer body.Close() //nolint:errcheck // read to its end, or given up
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, c.explain(err)
	}
	return s, nil
}

// Rotate requests rotations and calls each with every result, as it comes.
// ErrNone: no container matches.
func (c *Client) Rotate(ctx context.Context, which Selector, each func(Result)) error {
	request, err := json.Marshal(which)
	if err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	body, err := c.do(ctx, http.MethodPost, "/v1/rotate", request)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // read to its end, or given up
	for dec := json.NewDecoder(body); ; {
		var r Result
		switch err := dec.Decode(&r); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.explain(err)
		}
		each(r)
	}
}

// Reload requests a reload of the configuration. After an error the previous one is
// still active.
func (c *Client) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	body, err := c.do(ctx, http.MethodPost, "/v1/reload", nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// Checks are the arguments of Check.
var Checks = []string{"ready", "healthy"}

// Check returns why the daemon is not what Checks names; nil: it is.
func (c *Client) Check(ctx context.Context, what string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	body, err := c.do(ctx, http.MethodGet, "/v1/"+what, nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// ErrNone: no running container matches.
var ErrNone = errors.New("no such container is running")

func (c *Client) do(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://logwatch"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp.Body, nil
	}
	defer resp.Body.Close() //nolint:errcheck // given up
	var e Error
	switch err := json.NewDecoder(io.LimitReader(resp.Body, maxError)).Decode(&e); {
	case err != nil:
		return nil, fmt.Errorf("the daemon at %s answers %s: is it logwatch?", c.path, resp.Status)
	case resp.StatusCode == http.StatusNotFound && method == http.MethodPost && e.Error == ErrNone.Error():
		return nil, ErrNone
	}
	return nil, fmt.Errorf("the daemon: %s", e.Error)
}

// explain adds to an error what to do about it.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("no daemon answers at %s: is it running? systemctl status logwatch; if it has another controlSocket, name its file with --config", c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: permission denied: run this as root", c.path)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon at %s does not answer in time: see journalctl -u logwatch", c.path)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("the daemon at %s closed the connection before it had answered: see journalctl -u logwatch", c.path)
	}
	return fmt.Errorf("the daemon at %s: %w: see journalctl -u logwatch", c.path, err)
}
