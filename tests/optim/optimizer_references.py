"""Every optimizer as its paper writes it, in float64 numpy: one tensor, a rate and a decay, a list of gradients."""

from __future__ import annotations

import numpy as np


def adamw(theta, gradients, lr, decay, betas, eps):
    """Loshchilov and Hutter 2019, algorithm 2, with the decay scaled by the rate."""
    m = v = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        step = (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        theta = theta - lr * decay * theta - lr * step
    return theta


def adam(theta, gradients, lr, decay, betas, eps):
    """Kingma and Ba 2015, algorithm 1, with the decay as part of the gradient."""
    m = v = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        g = g + decay * theta
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        theta = theta - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return theta


def radam(theta, gradients, lr, decay, betas, eps):
    """Liu et al. 2020, algorithm 2, with decoupled decay; as torch, adaptive from rho 5 on."""
    m = v = np.zeros_like(theta)
    rho_inf = 2 / (1 - betas[1]) - 1
    for t, g in enumerate(gradients, start=1):
        theta = theta * (1 - lr * decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        rho = rho_inf - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        unbiased = m / (1 - betas[0] ** t)
        if rho > 5:
            r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            theta = theta - lr * r * unbiased * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)
        else:
            theta = theta - lr * unbiased
    return theta


def adabelief(theta, gradients, lr, decay, betas, eps):
    """Zhuang et al. 2020, algorithm 2, with decoupled decay."""
    m = s = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        theta = theta * (1 - lr * decay)
        m = betas[0] * m + (1 - betas[0]) * g
        s = betas[1] * s + (1 - betas[1]) * (g - m) ** 2 + eps
        theta = theta - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(s / (1 - betas[1] ** t)) + eps)
    return theta


def lamb(theta, gradients, lr, decay, betas, eps):
    """You et al. 2020, without bias correction, phi(z) = min(z, 10)."""
    m = v = np.zeros_like(theta)
    for g in gradients:
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        step = m / (np.sqrt(v) + eps) + decay * theta
        trust = min(np.linalg.norm(theta), 10) / np.linalg.norm(step) if np.linalg.norm(theta) > 0 else 1.0
        theta = theta - lr * trust * step
    return theta


def novograd(theta, gradients, lr, decay, betas, eps):
    """Ginsburg et al. 2019, algorithm 1: the first norm starts the average."""
    m, v = np.zeros_like(theta), None
    for g in gradients:
        norm = (g**2).sum()
        v = norm if v is None else betas[1] * v + (1 - betas[1]) * norm
        m = betas[0] * m + (g / (np.sqrt(v) + eps) + decay * theta)
        theta = theta - lr * m
    return theta


def sgd(theta, gradients, lr, decay, momentum=0.0, nesterov=False):
    """Sutskever et al. 2013 in the form of torch: the rate outside of the momentum, the first step without damping."""
    buffer = None
    for g in gradients:
        g = g + decay * theta
        buffer = g if buffer is None else momentum * buffer + g
        theta = theta - lr * (g + momentum * buffer if nesterov else buffer)
    return theta


def lion(theta, gradients, lr, decay, betas):
    """Chen et al. 2023, algorithm 2."""
    m = np.zeros_like(theta)
    for g in gradients:
        theta = theta - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + decay * theta)
        m = betas[1] * m + (1 - betas[1]) * g
    return theta


def adafactor(theta, gradients, lr, decay, *, scale_parameter, relative_step=False, warmup_init=False):
    """Shazeer and Stern 2018, algorithm 4 for matrices and 5 for vectors: no momentum, clipped at 1."""
    eps1, eps2, rms = 1e-30, 1e-3, lambda x: np.sqrt(np.mean(x**2))
    rows = columns = whole = 0.0
    for t, g in enumerate(gradients, start=1):
        rate = min(1e-6 * t if warmup_init else 1e-2, 1 / np.sqrt(t)) if relative_step else lr
        rate = rate * max(eps2, rms(theta)) if scale_parameter else rate
        beta, square = 1 - t**-0.8, g**2 + eps1
        if g.ndim == 2:
            rows = beta * rows + (1 - beta) * square.sum(axis=1)
            columns = beta * columns + (1 - beta) * square.sum(axis=0)
            u = g / np.sqrt(np.outer(rows, columns) / rows.sum())
        else:
            whole = beta * whole + (1 - beta) * square
            u = g / np.sqrt(whole)
        u = u / max(1.0, rms(u))
        theta = theta - rate * decay * theta - rate * u
    return theta
