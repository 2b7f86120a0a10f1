// Threads that share the work of a step.
#pragma once
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

// The caller and size - 1 others, which wait for work: for a moment awake, since the next piece comes soon, then asleep
class Team {
    using Call = void (*)(const void* what, long thread);
    static constexpr int AWAKE = 20000;
    Call call = nullptr;
    const void* argument = nullptr;
    std::atomic<unsigned> round{0};
    std::atomic<long> busy{0};
    bool over = false;
    std::vector<std::thread> others;

    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }

    void begin() {
        busy.store(size - 1);
        round.fetch_add(1);
        round.notify_all();
    }

    void work(long thread) {
        for (unsigned last = 0;;) {
            for (int i = 0; i < AWAKE && round.load() == last; i++) pause();
            round.wait(last);
            last++;
            if (over) return;
            call(argument, thread);
            busy.fetch_sub(1);
        }
    }

  public:
    const long size;

    explicit Team(long size) : size(size) {
        for (long thread = 1; thread < size; thread++) others.emplace_back([this, thread] { work(thread); });
    }
    ~Team() {
        over = true;
        begin();
        for (std::thread& other : others) other.join();
    }

    // what(thread) in every thread; returns when all are done
    template <class What>
    void all(const What& what) {
        if (size > 1) {
            call = [](const void* it, long thread) { (*(const What*)it)(thread); };
            argument = &what;
            begin();
        }
        what(0);
        for (int i = 0; busy.load(); i++) i < AWAKE ? pause() : std::this_thread::yield();
    }

    // what(from, to, thread) for parts of 0 .. n that begin at multiples of `unit`, one a thread
    template <class What>
    void split(long n, long unit, const What& what) {
        const long pieces = (n + unit - 1) / unit;
        all([&](long thread) {
            const long from = pieces * thread / size * unit, to = std::min(n, pieces * (thread + 1) / size * unit);
            if (from < to) what(from, to, thread);
        });
    }
};
