package config
func KeepStartupKeys(cfg, old Config) (Config, []string) {
	c := cfg
	c.PodLogsDir = old.PodLogsDir; c.ContainerRuntimeEndpoint = old.ContainerRuntimeEndpoint; c.ContainerLogMaxWorkers = old.ContainerLogMaxWorkers
	c.ContainerLogMonitorInterval = old.ContainerLogMonitorInterval; c.RuntimeRequestTimeout = old.RuntimeRequestTimeout; c.Compression.Workers = old.Compression.Workers
	c.Logging = old.Logging; c.Metrics, c.ControlSocket = old.Metrics, old.ControlSocket
	return c, nil
}
