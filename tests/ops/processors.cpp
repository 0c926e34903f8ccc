// Runs the CPU ops on the arrays of a file and writes their results: what test_processors.py
// compiles in other ways. Sizes are those of the test.
#include <cstdint>
#include <cstdio>
#include <type_traits>
#include <utility>
#include <vector>

#include "ops/compose.h"
#include "ops/denoise_step.h"
#include "ops/log_mel.h"
#include "ops/pack.h"
#include "ops/rasterize.h"

using namespace parlante;

namespace {

constexpr int kSide = 64;
constexpr int kCells = kSide / kUnshuffle;
constexpr int kFrame = 100;
constexpr int kPatches = 3;
constexpr int kVertices = 100;
constexpr int kTriangles = 162;
constexpr int kSamples = 16000;

std::FILE* in;
std::FILE* out;

template <class T>
std::vector<T> read(std::size_t count) {
  std::vector<T> values(count);
  if (std::fread(values.data(), sizeof(T), count, in) != count) {
    std::perror("read");
  }
  return values;
}

template <class T>
void write(const std::vector<T>& values) {
  std::fwrite(values.data(), sizeof(T), values.size(), out);
}

/// Of floats, or of constant floats where the vector is constant.
auto planes(auto& values) {
  const int count = static_cast<int>(values.size()) / (kCells * kCells);
  return PlanesView<std::remove_pointer_t<decltype(values.data())>>{values.data(), count, kCells,
                                                                    kCells};
}

}  // namespace

int main(int, char** arguments) {
  in = std::fopen(arguments[1], "rb");
  out = std::fopen(arguments[2], "wb");
  constexpr int kThreads = 2;
  constexpr std::size_t kPlane = kCells * kCells;
  constexpr std::size_t kPixels = kSide * kSide;

  const auto vertices = read<float>(kVertices * 3);
  const auto triangles = read<std::int32_t>(kTriangles * 3);
  const auto attributes = read<float>(kVertices * 3);
  std::vector<float> drawn(kPixels * 3), depth(kPixels);
  rasterize({{vertices.data(), kVertices, 3},
             {triangles.data(), kTriangles, 3},
             {attributes.data(), kVertices, 3},
             {drawn.data(), kSide, kSide, 3},
             {depth.data(), kSide, kSide, 1}},
            kThreads);
  write(drawn);

  const auto source = read<std::uint8_t>(kPixels * 4);
  const auto reference = read<std::uint8_t>(kPixels * 4);
  const auto flows = read<float>(kPixels * kFlowChannels);
  const auto inside = read<float>(kPixels * 4);
  const auto cover = read<float>(kPixels);
  std::vector<float> packed(kPackedPlanes * kPlane);
  const ImageView<const float> flow{flows.data(), kSide, kSide, kFlowChannels};
  pack({{source.data(), kSide, kSide, 4},
        {reference.data(), kSide, kSide, 4},
        flow,
        {inside.data(), kSide, kSide, 4},
        {cover.data(), kSide, kSide},
        planes(packed)},
       kThreads);
  write(packed);

  const auto residual = read<float>(kColorPlanes * kPlane);
  const auto x_t = read<float>(kColorPlanes * kPlane);
  const DenoiseStep step{0.4f, 0.7f, 0.3f, 0xfedcba9876543210u, 3};
  std::vector<float> noised(kColorPlanes * kPlane);
  std::vector<Half> halves(noised.size());
  std::vector<std::uint8_t> bytes(noised.size());
  for (const NextInput& next :
       {NextInput{halves.data(), nullptr, 1, 0}, NextInput{nullptr, bytes.data(), 0.02f, 117}}) {
    denoise_step({planes(residual), planes(x_t), planes(std::as_const(packed)), flow,
                  planes(noised), next, step},
                 kThreads);
  }
  write(noised);
  write(halves);
  write(bytes);

  const auto photo = read<std::uint8_t>(kFrame * kFrame * 4);
  const auto back = read<std::uint8_t>(kFrame * kFrame * 3);
  const auto warp = read<float>(kPixels * 2);
  const auto places = read<float>(kPatches * 6);
  const auto bands = read<std::int32_t>(kPatches * 2);
  std::vector<std::uint8_t> picture(kFrame * kFrame * 3);
  compose({{photo.data(), kFrame, kFrame, 4},
           0,
           0,
           {back.data(), kFrame, kFrame, 3},
           {warp.data(), kSide, kSide, 2},
           {noised.data(), 1, kColorPlanes, kSide / kUnshuffle, kSide / kUnshuffle},
           {packed.data(), 1, kPackedPlanes, kSide / kUnshuffle, kSide / kUnshuffle},
           {nullptr, 0, 0},
           {places.data(), kPatches, 2, 3},
           {bands.data(), kPatches, 2},
           picture.data(),
           PixelFormat::kRgb,
           {Backdrop::kPlate, 0, 0, 0}},
          kThreads);
  write(picture);

  const auto samples = read<float>(kSamples);
  LogMel mel;
  std::vector<float> columns(mel.columns_after(kSamples) * kMelBands);
  mel.process(samples, columns);
  write(columns);
  return std::fclose(out);
}
