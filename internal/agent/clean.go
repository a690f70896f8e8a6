package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/rotator"
)

// Clean removes all logs of one container, as kubelet's Clean does when it
// removes it. A container that runs is refused: its lines would be lost. It
// returns the paths that it removed.
func Clean(ctx context.Context, cfg config.Config, client *cri.Client, id string) ([]string, error) {
	c, err := cri.NewInventory(client).Lookup(ctx, id)
	switch {
	case errors.Is(err, cri.ErrNotRunning):
		return nil, fmt.Errorf("clean: the runtime does not know container %q, so its logs cannot be identified: remove them by hand (%w)", id, err)
	case err != nil:
		return nil, fmt.Errorf("clean: %w", err)
	case c.Running:
		return nil, fmt.Errorf("clean: container %s (%s/%s/%s) is running: stop it first", id, c.Namespace, c.Pod, c.Name)
	}
	dir, log, err := podlogs.SplitPath(cfg.PodLogsDir, c.LogPath)
	if err != nil {
		return nil, fmt.Errorf("clean: container %s, log path %q: %w", id, c.LogPath, err)
	}
	names, err := rotator.New(rotator.Options{PodLogsDir: cfg.PodLogsDir}).Clean(ctx, dir, log)
	for i, n := range names {
		names[i] = cfg.PodLogsDir + "/" + dir + "/" + n
	}
	return names, err
}
