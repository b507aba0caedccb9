package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheFileInTheRepositoryIsGood(t *testing.T) {
	config, err := Load("../../config/checkout.json")
	if err != nil {
		t.Fatal(err)
	}
	if config.Tax.URL == "" {
		t.Fatal("no tax service")
	}
}

func TestAnUpstreamNeedsATimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.json")
	if err := os.WriteFile(path, []byte(`{"stock":{"url":"http://s"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Fatal("expected an error")
	}
}
