module shop.example/search

go 1.22
