// Package config reads config/checkout.json.
package config

import (
	"encoding/json"
	"fmt"
	"os"
)

// Upstream is a service that we ask.
type Upstream struct {
	URL       string `json:"url"`
	TimeoutMS int    `json:"timeout_ms"`
}

// Config is the whole file.
type Config struct {
	Listen string   `json:"listen"`
	Stock  Upstream `json:"stock"`
	Tax    Upstream `json:"tax"`
}

// Load reads and checks the file.
func Load(path string) (Config, error) {
	var config Config
	raw, err := os.ReadFile(path)
	if err != nil {
		return config, err
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return config, fmt.Errorf("%s: %w", path, err)
	}
	for name, upstream := range map[string]Upstream{"stock": config.Stock, "tax": config.Tax} {
		if upstream.URL == "" || upstream.TimeoutMS <= 0 {
			return config, fmt.Errorf("%s: %s needs a url and a positive timeout_ms", path, name)
		}
	}
	return config, nil
}
