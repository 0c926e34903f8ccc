#include "support/parallel_rows.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace parlante {
namespace {

/// Runs part `part`, in memory that this thread keeps.
void run_part(const Work& work, int part) {
  thread_local Scratch scratch;
  work.run(work.context, part, scratch);
  scratch.clear();
}

/// Threads that sleep until they are given a part.
class Pool {
 public:
  /// False where the threads are at work for another caller.
  bool run(const Work& work, int parts) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) {
      return false;
    }
    const int others = parts - 1;
    while (static_cast<int>(workers_.size()) < others) {
      workers_.push_back(std::make_unique<Worker>(*this, static_cast<int>(workers_.size())));
    }
    left_.store(others, std::memory_order_relaxed);
    for (int part = 0; part < others; ++part) {
      Worker& worker = *workers_[part];
      worker.work = &work;
      worker.given.store(1, std::memory_order_release);
      worker.given.notify_one();
    }
    run_part(work, others);
    for (int left = left_.load(std::memory_order_acquire); left > 0;
         left = left_.load(std::memory_order_acquire)) {
      left_.wait(left, std::memory_order_acquire);
    }
    return true;
  }

 private:
  struct Worker {
    Worker(Pool& pool, int part) {
      std::thread([this, &pool, part] {
        for (;;) {
          given.wait(0, std::memory_order_acquire);
          run_part(*work, part);
          given.store(0, std::memory_order_relaxed);
          if (pool.left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            pool.left_.notify_one();
          }
        }
      }).detach();
    }
    const Work* work = nullptr;
    std::atomic<int> given{0};
  };

  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<int> left_{0};
};

/// Never destroyed: its threads sleep until the process ends. A forked child has none of them, so
/// it gets a pool of its own.
std::atomic<Pool*> pool{nullptr};

Pool& shared_pool() {
  static std::once_flag once;
  std::call_once(once, [] {
    pool = new Pool;
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
#endif
  });
  return *pool;
}

}  // namespace

void run_parts(const Work& work, int parts) {
  if (parts > 1 && shared_pool().run(work, parts)) {
    return;
  }
  for (int part = 0; part < parts; ++part) {
    run_part(work, part);
  }
}

}  // namespace parlante
