// Package settings reads config/avatars.yaml.
package settings

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Settings are what operations may tune.
type Settings struct {
	Listen           string
	MediaURL         string
	MediaConnections int
	MediaTimeout     time.Duration
	LargestBytes     int64
}

// Load reads a flat YAML file; an unknown key is an error, because it is a typing mistake.
func Load(path string) (Settings, error) {
	file, err := os.Open(path)
	if err != nil {
		return Settings{}, err
	}
	defer file.Close()
	var settings Settings
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, ":")
		if !found {
			return settings, fmt.Errorf("%s:%d: expected key: value", path, number)
		}
		if err := settings.set(key, plain(value)); err != nil {
			return settings, fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	return settings, lines.Err()
}

// plain is a scalar without its comment and its quotes.
func plain(value string) string {
	value, _, _ = strings.Cut(value, " #")
	return strings.Trim(strings.TrimSpace(value), `"`)
}

func (s *Settings) set(key, value string) error {
	switch key {
	case "listen":
		s.Listen = value
	case "media_url":
		s.MediaURL = value
	case "media_connections", "media_timeout_ms", "largest_bytes":
		number, err := strconv.Atoi(value)
		if err != nil || number < 1 {
			return fmt.Errorf("%s: expected a positive number, got %q", key, value)
		}
		switch key {
		case "media_connections":
			s.MediaConnections = number
		case "media_timeout_ms":
			s.MediaTimeout = time.Duration(number) * time.Millisecond
		default:
			s.LargestBytes = int64(number)
		}
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}
