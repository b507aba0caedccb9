// Package behaviour counts the connections that the media store sees.
package behaviour

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shop.example/avatars/internal/settings"
	"shop.example/avatars/internal/web"
)

// agreed with the media team, see config/avatars.yaml.
const agreed = 12

// store is a media store. Customers are named after the status they get; every answer has a body that is too long
// to be thrown away unread.
type store struct {
	server *httptest.Server
	open   atomic.Int64
	most   atomic.Int64
}

func start(t *testing.T) (*store, http.Handler) {
	t.Helper()
	s := &store{}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		fmt.Sscanf(r.URL.Path, "/avatars/%d", &status)
		w.WriteHeader(status)
		fmt.Fprint(w, strings.Repeat("x", 64<<10))
	}))
	s.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			now := s.open.Add(1)
			for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
			}
		case http.StateClosed, http.StateHijacked:
			s.open.Add(-1)
		}
	}
	s.server.Start()
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	config, err := settings.Load("../config/avatars.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config.MediaURL = s.server.URL
	return s, web.NewHandler(config)
}

func get(handler http.Handler, customer int) int {
	recorder := httptest.NewRecorder()
	path := fmt.Sprintf("/avatars/%d", customer)
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code
}

// exhaust sends many requests that media answers with one status: all of them get the same answer, and soon, and a
// picture can still be had afterwards.
func exhaust(t *testing.T, status int, want ...int) {
	t.Parallel()
	s, handler := start(t)
	began := time.Now()
	first := get(handler, status)
	if !slices.Contains(want, first) {
		t.Fatalf("media answered %d, got %d", status, first)
	}
	for request := range 200 {
		if got := get(handler, status); got != first {
			t.Fatalf("request %d: media answered %d, got %d and not %d as before", request, status, got, first)
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("request %d: still not done", request)
		}
	}
	if got := get(handler, 200); got != 200 {
		t.Fatalf("a picture after that: got %d", got)
	}
	if open := s.open.Load(); open > agreed {
		t.Fatalf("%d connections are open", open)
	}
}

// Without the latest route for customers who have no picture it is 502, as it was for months.
func TestCustomersWithoutAPictureCostNoConnection(t *testing.T) { exhaust(t, 404, 404, 502) }

func TestDeletedPicturesCostNoConnection(t *testing.T) { exhaust(t, 410, 404, 502) }

func TestFailuresOfTheStoreCostNoConnection(t *testing.T) { exhaust(t, 503, 502) }

func TestTheAgreementIsKept(t *testing.T) {
	t.Parallel()
	s, handler := start(t)
	done := make(chan int)
	for request := range 60 {
		go func() { done <- get(handler, []int{200, 404}[request%2]) }()
	}
	for range 60 {
		if got := <-done; !slices.Contains([]int{200, 404, 502}, got) {
			t.Errorf("got %d", got)
		}
	}
	if most := s.most.Load(); most > agreed+4 {
		t.Errorf("%d connections at a time", most)
	}
}
