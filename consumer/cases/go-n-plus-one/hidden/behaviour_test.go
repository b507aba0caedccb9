// Package behaviour counts calls.
package behaviour

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"shop.example/basketview/articles"
	"shop.example/basketview/view"
)

func articlesAre(calls *atomic.Int32) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if id, one := strings.CutPrefix(r.URL.Path, "/articles/"); one {
			fmt.Fprintf(w, `{"id":%q,"title":"t"}`, id)
			return
		}
		var all []string
		for _, id := range strings.Split(r.URL.Query().Get("ids"), ",") {
			all = append(all, fmt.Sprintf(`{"id":%q,"title":"t"}`, id))
		}
		fmt.Fprint(w, "["+strings.Join(all, ",")+"]")
	}))
}

func TestABasketOfThirty(t *testing.T) {
	var calls atomic.Int32
	server := articlesAre(&calls)
	defer server.Close()
	var ids []string
	for i := 0; i < 30; i++ {
		ids = append(ids, fmt.Sprintf("a%d", i))
	}
	answer := httptest.NewRecorder()
	view.Handler(articles.New(server.URL)).ServeHTTP(answer, httptest.NewRequest("GET", "/basket?ids="+strings.Join(ids, ","), nil))
	if answer.Code != 200 || strings.Count(answer.Body.String(), `"title"`) != 30 {
		t.Fatalf("%d %s", answer.Code, answer.Body.String())
	}
	if calls.Load() > 2 {
		t.Fatalf("%d calls for one basket", calls.Load())
	}
}
