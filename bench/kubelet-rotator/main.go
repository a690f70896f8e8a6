// Command kubelet-rotator runs kubelet 1.36's ContainerLogManager, unchanged, as
// a process of its own: the peer that logwatch is measured against. In a
// process of its own, its CPU and memory can be measured, and it can be killed.
//
// It prints "rotating" to standard error once it runs. SIGTERM or SIGINT ends it
// with exit code 0, in the middle of its work: kubelet does the same,
// since its manager cannot be stopped.
//
// It does not rotate what kubelet would not: see kubelet's rules for running
// containers, sizes and files. It does not clean up after removed containers: kubelet
// does that elsewhere.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	noop "go.opentelemetry.io/otel/trace/noop"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cri "k8s.io/cri-client/pkg"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubelet/logs"
)

// connectTimeout is kubelet's default for calls to the runtime
// (runtimeRequestTimeout).
const connectTimeout = 2 * time.Minute

type options struct {
	endpoint, maxSize string
	maxFiles, workers int
	interval          time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet-rotator:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("kubelet-rotator", flag.ContinueOnError)
	flags.StringVar(&o.endpoint, "endpoint", "unix:///run/containerd/containerd.sock", "CRI endpoint")
	flags.StringVar(&o.maxSize, "max-size", "10Mi", "kubelet's containerLogMaxSize")
	flags.IntVar(&o.maxFiles, "max-files", 5, "kubelet's containerLogMaxFiles")
	flags.IntVar(&o.workers, "workers", 1, "kubelet's containerLogMaxWorkers")
	flags.DurationVar(&o.interval, "interval", 10*time.Second, "kubelet's containerLogMonitorInterval")
	anyInterval := flags.Bool("any-interval", false, "allow an interval below 3 s, which kubelet refuses")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	// The manager itself does not check these two: kubelet's configuration does
	// (pkg/kubelet/apis/config/validation).
	case o.workers < 1:
		return o, fmt.Errorf("-workers %d: kubelet wants at least 1", o.workers)
	case o.interval < 3*time.Second && !*anyInterval:
		return o, fmt.Errorf("-interval %s: kubelet wants at least 3s; see -any-interval", o.interval)
	case o.interval <= 0:
		return o, fmt.Errorf("-interval %s: must be positive", o.interval)
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx = klog.NewContext(ctx, klog.Background())
	runtime, err := cri.NewRemoteRuntimeService(ctx, o.endpoint, connectTimeout, noop.NewTracerProvider(), true)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", o.endpoint, err)
	}
	manager, err := logs.NewContainerLogManager(runtime, container.RealOS{}, o.maxSize, o.maxFiles, o.workers,
		metav1.Duration{Duration: o.interval})
	if err != nil {
		return fmt.Errorf("create the log manager: %w", err)
	}
	// Not ctx: the exit ends calls in progress, as in kubelet, instead of canceling
	// them with errors in the log.
	manager.Start(context.WithoutCancel(ctx))
	fmt.Fprintln(os.Stderr, "rotating")
	<-ctx.Done()
	return nil
}
