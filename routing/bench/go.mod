module github.com/postroad/postroad/routing/bench

go 1.26.0

require github.com/postroad/postroad v0.0.0

require gonum.org/v1/gonum v0.17.0

replace github.com/postroad/postroad => ../..
