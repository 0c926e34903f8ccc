// Scratch memory of one thread, which grows to the largest call and is then used again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

namespace parlante {

class Scratch {
 public:
  /// `count` values, not set to anything, aligned to 64 bytes; valid until `clear`.
  template <class T>
  T* take(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    const std::size_t bytes = (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    if (blocks_.empty() || used_ + bytes > blocks_.back().size) {
      add(bytes);
    }
    void* const place = blocks_.back().data.get() + used_;
    used_ += bytes;
    return static_cast<T*>(place);
  }

  /// Gives all of it back; what was pieced together is one block from now on.
  void clear() {
    if (blocks_.size() > 1) {
      std::size_t total = 0;
      for (const Block& block : blocks_) {
        total += block.size;
      }
      blocks_.clear();
      add(total);
    }
    used_ = 0;
  }

 private:
  static constexpr std::size_t kAlignment = 64;

  struct Free {
    void operator()(std::byte* data) const {
      ::operator delete[](data, std::align_val_t{kAlignment});
    }
  };
  struct Block {
    std::unique_ptr<std::byte[], Free> data;
    std::size_t size;
  };

  void add(std::size_t bytes) {
    auto* const data =
        static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{kAlignment}));
    blocks_.push_back({std::unique_ptr<std::byte[], Free>(data), bytes});
    used_ = 0;
  }

  std::vector<Block> blocks_;
  std::size_t used_ = 0;  // of the last block
};

}  // namespace parlante
