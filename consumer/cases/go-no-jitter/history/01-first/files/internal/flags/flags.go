// Package flags reads the flags file that flagd serves in other environments.
package flags

import (
	"encoding/json"
	"os"
)

// Set is what the file says.
type Set struct {
	Flags map[string]struct {
		State          string          `json:"state"`
		Variants       map[string]bool `json:"variants"`
		DefaultVariant string          `json:"defaultVariant"`
	} `json:"flags"`
}

// Load reads a file.
func Load(path string) (*Set, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	return set, json.Unmarshal(text, set)
}

// Bool is a flag's value, or otherwise where it is not known or not enabled.
func (s *Set) Bool(name string, otherwise bool) bool {
	flag, known := s.Flags[name]
	if !known || flag.State != "ENABLED" {
		return otherwise
	}
	value, known := flag.Variants[flag.DefaultVariant]
	if !known {
		return otherwise
	}
	return value
}
