package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func load(t *testing.T, change func(string) string) error {
	t.Helper()
	raw, err := os.ReadFile("../../config/search.toml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "search.toml")
	if err := os.WriteFile(path, []byte(change(string(raw))), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(path)
	return err
}

func TestTheFileInTheRepositoryIsGood(t *testing.T) {
	if err := load(t, func(text string) string { return text }); err != nil {
		t.Fatal(err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for mistake, change := range map[string]func(string) string{
		"listen is missing":         func(s string) string { return strings.Replace(s, "listen", "listens", 1) },
		"unknown key results.pages": func(s string) string { return s + "pages = 3\n" },
	} {
		if err := load(t, change); err == nil || !strings.Contains(err.Error(), mistake) {
			t.Fatalf("expected %q, got %v", mistake, err)
		}
	}
}
