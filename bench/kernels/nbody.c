/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f64 n-body: five bodies under gravity in made-up units, leapfrog steps (kick, drift), 100 a round. The check: total momentum
 * stays 0 within rounding, and energy within 1 %.
 */
#include "kernel.h"

#define BODIES 5
#define STEPS 100

struct body {
    double x, y, z, vx, vy, vz, mass;
};

static struct body bodies[BODIES];

static KERNEL_NOINLINE void kick(double step) {
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            struct body *p = &bodies[i], *q = &bodies[j];
            double dx = q->x - p->x, dy = q->y - p->y, dz = q->z - p->z;
            double d2 = dx * dx + dy * dy + dz * dz;
            double pull = step / (d2 * __builtin_sqrt(d2));
            p->vx += dx * q->mass * pull, q->vx -= dx * p->mass * pull;
            p->vy += dy * q->mass * pull, q->vy -= dy * p->mass * pull;
            p->vz += dz * q->mass * pull, q->vz -= dz * p->mass * pull;
        }
}

static void drift(double step) {
    for (int i = 0; i < BODIES; i++) {
        bodies[i].x += step * bodies[i].vx;
        bodies[i].y += step * bodies[i].vy;
        bodies[i].z += step * bodies[i].vz;
    }
}

static double energy(void) {
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        const struct body *p = &bodies[i];
        sum += p->mass * (p->vx * p->vx + p->vy * p->vy + p->vz * p->vz) / 2;
        for (int j = i + 1; j < BODIES; j++) {
            double dx = bodies[j].x - p->x, dy = bodies[j].y - p->y, dz = bodies[j].z - p->z;
            sum -= p->mass * bodies[j].mass / __builtin_sqrt(dx * dx + dy * dy + dz * dz);
        }
    }
    return sum;
}

int64_t run(int32_t n) {
    /* A sun of mass 100 and planets on near-circular orbits: speed = sqrt(100 / radius). */
    static const double radius[BODIES] = {0, 4, 9, 16, 25}, speed[BODIES] = {0, 5, 10.0 / 3, 2.5, 2};
    double px = 0, py = 0, pz = 0;
    for (int i = 0; i < BODIES; i++) {
        double side = i & 1 ? 1 : -1;
        struct body at = {i & 2 ? 0 : radius[i] * side, i & 2 ? radius[i] * side : 0, 0.1 * i,
                          i & 2 ? -speed[i] * side : 0, i & 2 ? 0 : speed[i] * side, 0.01 * i, i == 0 ? 100 : 0.05 * i};
        bodies[i] = at;
        px += at.vx * at.mass, py += at.vy * at.mass, pz += at.vz * at.mass;
    }
    bodies[0].vx -= px / 100, bodies[0].vy -= py / 100, bodies[0].vz -= pz / 100;
    double before = energy();
    for (int32_t i = 0; i < n * STEPS; i++) {
        kick(0.001);
        drift(0.001);
    }
    double after = energy(), momentum = 0;
    for (int i = 0; i < BODIES; i++)
        momentum += bodies[i].vx * bodies[i].mass;
    double error = (after - before) / before;
    if (!(error > -0.01 && error < 0.01 && momentum > -1e-6 && momentum < 1e-6))
        return KERNEL_FAILED;
    return (int64_t)kernel_fold(kernel_fold(0, kernel_bits(after)), kernel_bits(bodies[1].x));
}
