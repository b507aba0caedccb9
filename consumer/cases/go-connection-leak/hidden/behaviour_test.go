// Package behaviour counts the connections that the media store sees.
package behaviour

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
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
			s.open.Add(1)
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

// get is the answer's status; 0 if there is none within a second and a half.
func get(handler http.Handler, customer int) int {
	recorder := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		path := fmt.Sprintf("/avatars/%d", customer)
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	}()
	select {
	case <-done:
		return recorder.Code
	case <-time.After(1500 * time.Millisecond):
		return 0
	}
}

// exhaust sends many requests that media answers with one status: all of them get an answer soon, a picture can still
// be had afterwards, and little stays behind, neither at the store nor here (a connection has two goroutines).
func exhaust(t *testing.T, status int, want ...int) {
	s, handler := start(t)
	began, before := time.Now(), runtime.NumGoroutine()
	for request := range 200 {
		if got := get(handler, status); !slices.Contains(want, got) {
			t.Fatalf("request %d: media answered %d, got %d", request, status, got)
		}
		if time.Since(began) > 4*time.Second {
			t.Fatalf("only %d requests in %s", request, time.Since(began))
		}
	}
	if got := get(handler, 200); got != 200 {
		t.Fatalf("a picture after that: got %d", got)
	}
	// A closed connection is noticed a little later.
	for end := time.Now().Add(2 * time.Second); s.open.Load() > agreed || runtime.NumGoroutine() > before+100; {
		if time.Now().After(end) {
			t.Fatalf("%d connections stay open, %d goroutines more", s.open.Load(), runtime.NumGoroutine()-before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Without the latest route for customers who have no picture it is 502, as it was for months.
func TestCustomersWithoutAPictureCostNoConnection(t *testing.T) { exhaust(t, 404, 404, 502) }

func TestDeletedPicturesCostNoConnection(t *testing.T) { exhaust(t, 410, 404, 502) }

func TestFailuresOfTheStoreCostNoConnection(t *testing.T) { exhaust(t, 503, 502) }

func TestManyAtATime(t *testing.T) {
	_, handler := start(t)
	done := make(chan int)
	for request := range 60 {
		go func() { done <- get(handler, []int{200, 404}[request%2]) }()
	}
	for range 60 {
		if got := <-done; !slices.Contains([]int{200, 404, 502}, got) {
			t.Errorf("got %d", got)
		}
	}
}
