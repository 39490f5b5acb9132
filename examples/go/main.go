// Reads numbers from standard input, hands them to workers, and prints the prime factors in order: goroutines,
// channels, select, maps, the garbage collector.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

type job struct {
	index int
	n     uint64
}

type result struct {
	index   int
	factors []uint64
}

func factor(n uint64) []uint64 {
	var factors []uint64
	for p := uint64(2); p*p <= n; p++ {
		for n%p == 0 {
			factors = append(factors, p)
			n /= p
		}
	}
	if n > 1 {
		factors = append(factors, n)
	}
	return factors
}

func main() {
	var numbers []uint64
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			fmt.Fprintf(os.Stderr, "factor: %v\n", err)
			os.Exit(2)
		}
		numbers = append(numbers, n)
	}

	jobs, results := make(chan job), make(chan result)
	var workers sync.WaitGroup
	for range 4 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for j := range jobs {
				results <- result{j.index, factor(j.n)}
			}
		}()
	}
	go func() {
		for i, n := range numbers {
			jobs <- job{i, n}
		}
		close(jobs)
		workers.Wait()
		close(results)
	}()

	found := map[int][]uint64{}
	for r := range results {
		found[r.index] = r.factors
	}
	for i, n := range numbers {
		fmt.Println(n, "=", strings.Trim(strings.ReplaceAll(fmt.Sprint(found[i]), " ", " * "), "[]"))
	}
}
