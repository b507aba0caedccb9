package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shop.example/search/internal/index"
	"shop.example/search/internal/settings"
)

type fake struct{ err error }

func (f fake) Query(words string, limit int) ([]string, error) {
	return []string{"sku-" + words}, f.err
}

func get(t *testing.T, session fake, path string) *httptest.ResponseRecorder {
	t.Helper()
	s, err := settings.Load("../../config/search.toml")
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handler := NewHandler(s, func() (index.Session, error) { return session, nil })
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder
}

func TestFinds(t *testing.T) {
	got := get(t, fake{}, "/search?q=lamp")
	if got.Code != 200 || strings.TrimSpace(got.Body.String()) != `{"skus":["sku-lamp"]}` {
		t.Fatalf("got %d %s", got.Code, got.Body)
	}
}

func TestWordsAreNeeded(t *testing.T) {
	if got := get(t, fake{}, "/search?q=+"); got.Code != 400 {
		t.Fatalf("got %d", got.Code)
	}
}

func TestAFailingIndexIsABadGateway(t *testing.T) {
	if got := get(t, fake{errors.New("broken")}, "/search?q=lamp"); got.Code != 502 {
		t.Fatalf("got %d", got.Code)
	}
}
