package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shop.example/avatars/internal/settings"
)

func service(t *testing.T, store http.HandlerFunc) http.Handler {
	t.Helper()
	s, err := settings.Load("../../config/avatars.yaml")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	s.MediaURL = server.URL
	return NewHandler(s)
}

func get(handler http.Handler, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder
}

func TestGivesThePicture(t *testing.T) {
	handler := service(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		fmt.Fprint(w, "picture of ", r.URL.Path)
	})
	got := get(handler, "/avatars/c7")
	if got.Code != 200 || got.Body.String() != "picture of /avatars/c7" || got.Header().Get("Content-Type") != "image/png" {
		t.Fatalf("got %d %s", got.Code, got.Body)
	}
}

func TestAFailingStoreIsABadGateway(t *testing.T) {
	handler := service(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	if got := get(handler, "/avatars/c7"); got.Code != 502 {
		t.Fatalf("got %d", got.Code)
	}
}

func TestAPictureMayBeTooLarge(t *testing.T) {
	handler := service(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 600_000))
	})
	if got := get(handler, "/avatars/c7"); got.Code != 502 {
		t.Fatalf("got %d", got.Code)
	}
}
