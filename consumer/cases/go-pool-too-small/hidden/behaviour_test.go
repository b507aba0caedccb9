// Package behaviour offers the concurrency of a usual day to search as it is configured.
package behaviour

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"shop.example/search/internal/index"
	"shop.example/search/internal/settings"
	"shop.example/search/internal/web"
)

const (
	// usual is what is in flight: 80 queries a second of 0.12 s each, and a quarter more.
	usual = 12
	// granted is an instance's share of the sessions (README).
	granted = 50
)

// product is an index that holds queries until `gather` of them are there, or for a second.
type product struct {
	gather   int
	mutex    sync.Mutex
	inside   int
	most     int
	sessions int
	together chan struct{}
}

func newProduct(gather int) *product { return &product{gather: gather, together: make(chan struct{})} }

func (p *product) dial() (index.Session, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.sessions++
	return p, nil
}

func (p *product) Query(string, int) ([]string, error) {
	p.mutex.Lock()
	p.inside++
	p.most = max(p.most, p.inside)
	if p.inside == p.gather {
		close(p.together)
	}
	p.mutex.Unlock()
	select {
	case <-p.together:
	case <-time.After(time.Second):
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.inside--
	return []string{"lamp"}, nil
}

// offer sends queries at once and counts the good answers.
func offer(t *testing.T, p *product, queries int) (good int) {
	t.Helper()
	s, err := settings.Load("../config/search.toml")
	if err != nil {
		t.Fatal(err)
	}
	handler := web.NewHandler(s, p.dial)
	statuses := make(chan int)
	for range queries {
		go func() {
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/search?q=lamp", nil))
			statuses <- recorder.Code
		}()
	}
	for range queries {
		if <-statuses == http.StatusOK {
			good++
		}
	}
	return good
}

func TestAUsualDayFindsSessions(t *testing.T) {
	p := newProduct(usual)
	if good := offer(t, p, usual); good != usual {
		t.Fatalf("%d of %d queries were answered", good, usual)
	}
	if p.most < usual {
		t.Fatalf("only %d queries were at the index at a time", p.most)
	}
}

func TestTheIndexIsNotAskedForMoreThanItGrants(t *testing.T) {
	p := newProduct(granted + 1)
	offer(t, p, 4*granted)
	if p.most > granted || p.sessions > granted {
		t.Fatalf("%d queries at a time in %d sessions", p.most, p.sessions)
	}
}
