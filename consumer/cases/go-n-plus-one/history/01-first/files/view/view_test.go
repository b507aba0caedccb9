package view

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"shop.example/basketview/articles"
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

func TestShowsTheArticles(t *testing.T) {
	var calls atomic.Int32
	server := articlesAre(&calls)
	defer server.Close()
	answer := httptest.NewRecorder()
	Handler(articles.New(server.URL)).ServeHTTP(answer, httptest.NewRequest("GET", "/basket?ids=a,b", nil))
	if got := strings.TrimSpace(answer.Body.String()); got != `[{"id":"a","title":"t"},{"id":"b","title":"t"}]` {
		t.Fatal(got)
	}
}
