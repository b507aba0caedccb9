// Package orders takes orders and asks payments.
package orders

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/quick"
)

type Store[K comparable] struct{ rows map[K]int }

type Server struct {
	pay   func(id string, cents ...int) error
	store *Store[string]
}

// Create makes an order.
func (s *Server) Create(w http.ResponseWriter, r *http.Request) {
	if err := s.pay("x", total(1, 2)); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	json.NewEncoder(w).Encode(s.store.Len())
}

func (s Store[K]) Len() int { return len(s.rows) }

func total(a, b int, more ...int) int {
	sum := a + b
	for _, m := range more {
		sum += m
	}
	return sum
}

func Routes(s *Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.Create)
	mux.Handle("/legacy", http.HandlerFunc(s.Create))
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})
	return mux
}

func TestTotal(t *testing.T) {
	if total(1, 2) != 3 {
		t.Fatal("total")
	}
}

func TestTotalCommutes(t *testing.T) {
	same := func(a, b int) bool { return total(a, b) == total(b, a) }
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}

func FuzzTotal(f *testing.F) {
	f.Fuzz(func(t *testing.T, a int) { total(a, a) })
}
