module shop.example/basketview

go 1.22
