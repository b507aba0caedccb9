// Package settings reads config/search.toml, of which it understands tables, strings and whole numbers.
package settings

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Settings are what operations may tune.
type Settings struct {
	Listen       string
	IndexAddress string
	QueryTimeout time.Duration
	Sessions     int
	Patience     time.Duration
	Page         int
}

// Load reads the file. Missing and unknown keys are errors.
func Load(path string) (Settings, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, err
	}
	values, err := parse(string(raw))
	if err != nil {
		return Settings{}, fmt.Errorf("%s: %w", path, err)
	}
	reader := reader{values: values}
	settings := Settings{
		Listen:       reader.text("listen"),
		IndexAddress: reader.text("index.address"),
		QueryTimeout: reader.millis("index.query_timeout_ms"),
		Sessions:     reader.number("sessions.keep"),
		Patience:     reader.millis("sessions.patience_ms"),
		Page:         reader.number("results.page"),
	}
	for key := range values {
		reader.fail("unknown key %s", key)
	}
	if reader.err != nil {
		return Settings{}, fmt.Errorf("%s: %w", path, reader.err)
	}
	return settings, nil
}

func parse(text string) (map[string]string, error) {
	values, table := map[string]string{}, ""
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			table = strings.Trim(line, "[]") + "."
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found {
			return nil, fmt.Errorf("line %d: expected key = value", number+1)
		}
		values[table+strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return values, nil
}

// reader takes values out and keeps the first error.
type reader struct {
	values map[string]string
	err    error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) text(key string) string {
	value, found := r.values[key]
	if !found {
		r.fail("%s is missing", key)
	}
	delete(r.values, key)
	return strings.Trim(value, `"`)
}

func (r *reader) number(key string) int {
	text := r.text(key)
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		r.fail("%s: expected a whole number above 0, got %q", key, text)
	}
	return number
}

func (r *reader) millis(key string) time.Duration {
	return time.Duration(r.number(key)) * time.Millisecond
}
